//! Open connections and the runtimes that drive them.

use tokio::runtime::{Builder, Runtime};

use super::server::{Reply, Server};
use super::*;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// C-64
#[test]
fn connections_are_kept_within_a_runtime_and_forgotten_with_it() {
    let body = r#"{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}"#;
    let (of_server, client) = (runtime(), client());
    let server = of_server.block_on(Server::start(vec![Reply::json(200, body); 6]));
    for _ in 0..3 {
        runtime().block_on(async {
            for _ in 0..2 {
                client.execute(call(&server.url), vec![]).await.unwrap();
            }
        });
        assert_eq!(client.shared.pools.len(), 1, "those of earlier runtimes are gone");
    }
    assert_eq!(server.received().len(), 6);
}
