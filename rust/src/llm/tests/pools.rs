//! Open connections and the runtimes that drive them.

use super::*;
use crate::mock::{MockOptions, MockServer};

/// C-64
#[test]
fn connections_are_kept_within_a_runtime_and_forgotten_with_it() {
    let server = MockServer::start(&MockOptions::default()).unwrap();
    let client = client();
    for _ in 0..3 {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(1).build();
        runtime.unwrap().block_on(async {
            for _ in 0..2 {
                client.execute(call(&server.url()), vec![]).await.unwrap();
            }
        });
        assert_eq!(client.shared.pools.len(), 1, "those of earlier runtimes are gone");
    }
    assert_eq!(server.counts().requests, 6);
}
