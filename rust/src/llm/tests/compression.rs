//! Answers that a server compressed although it was not asked to (C-65). The files hold one answer in each coding, and 65 MiB of blanks.

use super::server::{Reply, Server};
use super::{call, client};

fn packed(coding: &str, body: &[u8]) -> Reply {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: {coding}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    Reply::raw([head.as_bytes(), body].concat())
}

// C-65
#[tokio::test]
async fn every_usual_coding_is_decoded() {
    for (coding, body) in [
        ("gzip", include_bytes!("compressed/answer.gzip").as_slice()),
        ("deflate", include_bytes!("compressed/answer.deflate")),
        ("br", include_bytes!("compressed/answer.br")),
        ("zstd", include_bytes!("compressed/answer.zstd")),
    ] {
        let server = Server::start(vec![packed(coding, body)]).await;
        let answer = client().execute(call(&server.url), vec![]).await.unwrap();
        assert_eq!((answer.response.text.as_str(), answer.usage.tokens_out), ("unpacked", 2));
    }
}

// C-54, C-65
#[tokio::test]
async fn the_limit_of_a_body_is_that_of_what_it_unpacks_to() {
    let server = Server::start(vec![packed("br", include_bytes!("compressed/blanks.br"))]).await;
    let error = client().execute(call(&server.url), vec![]).await.unwrap_err();
    assert_eq!(error.failure.kind.word(), "invalid_response");
    assert!(error.message.contains("larger than 64 MiB"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_unpacked_is_an_invalid_response() {
    for (coding, words) in [
        ("gzip", "cannot be unpacked"),
        ("deflate", "cannot be unpacked"),
        ("br", "cannot be unpacked"),
        ("zstd", "cannot be unpacked"),
        ("compress", "compressed (compress)"),
    ] {
        let server = Server::start(vec![packed(coding, b"no such thing")]).await;
        let error = client().execute(call(&server.url), vec![]).await.unwrap_err();
        assert_eq!(error.failure.kind.word(), "invalid_response");
        assert!(error.message.contains(words), "{error}");
    }
}
