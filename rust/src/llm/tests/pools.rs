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

/// Answers one request on each of two connections, and closes the first when it is told to.
fn closing(
    answer: String,
    close: std::sync::mpsc::Receiver<()>,
    closed: std::sync::mpsc::Sender<()>,
) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for number in 0..2 {
            let (mut socket, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            while !seen.windows(7).any(|part| part == b"\"Hello\"") {
                let mut bytes = [0; 4096];
                let count = socket.read(&mut bytes).unwrap();
                seen.extend_from_slice(&bytes[..count]);
            }
            socket.write_all(answer.as_bytes()).unwrap();
            if number == 0 {
                close.recv().unwrap();
                drop(socket);
                closed.send(()).unwrap();
            } else {
                open.push(socket);
            }
        }
    });
    url
}

#[test]
fn a_connection_that_was_closed_while_nobody_looked_is_not_used_again() {
    let body = r#"{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}"#;
    let length = body.len();
    let kind = "content-type: application/json";
    let answer = format!("HTTP/1.1 200 OK\r\n{kind}\r\ncontent-length: {length}\r\n\r\n{body}");
    let ((close, told), (closed, gone)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    let url = closing(answer, told, closed);
    let (lone, client) = (Builder::new_current_thread().enable_all().build().unwrap(), client());
    let ask = || lone.block_on(client.execute(call(&url), vec![])).unwrap();
    assert_eq!(ask().attempts, 1);
    let answered = crate::clock::now();
    close.send(()).unwrap();
    gone.recv().unwrap();
    while crate::clock::now() < answered + crate::llm::pools::FRESH {
        std::hint::spin_loop();
    }
    assert_eq!(ask().attempts, 1);
}
