//! What do the parts of the crate cost by themselves? `make bench-parts` runs it and compares with the run before (criterion).
//!
//! The virtual machine and the loader with compiled programs of `benches/algorithms`; the parts of a model call by their inner functions (feature `bench`).

#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "a benchmark")]

use std::hint::black_box;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use concerto::parts::{Codec, Counted, Slots, events};
use concerto::{Program, Runtime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Algorithms, each with an argument that takes it about a millisecond.
const ALGORITHMS: [(&str, i64); 4] =
    [("fib", 20), ("integers", 100), ("strings", 100), ("structs", 10)];

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Where `make bench-parts` compiles `benches/algorithms`.
fn compiled(name: &str) -> PathBuf {
    Path::new(ROOT).join("target/parts").join(name).with_extension("conc-ir")
}

fn read(path: impl AsRef<Path>) -> Bytes {
    let path = Path::new(ROOT).join(path);
    let bytes = std::fs::read(&path);
    bytes
        .unwrap_or_else(|error| panic!("{}: {error}: run `make bench-parts`", path.display()))
        .into()
}

fn machine(c: &mut Criterion) {
    let mut group = c.benchmark_group("machine");
    for (name, argument) in ALGORITHMS {
        let program = Program::from_bytes(&read(compiled(name))).expect("it is a program");
        let runtime = Runtime::builder(program).build().expect("it has no options");
        group.bench_function(name, |b| {
            b.iter(|| runtime.blocking().call_raw("run", (black_box(argument),)).expect("it ends"));
        });
    }
    group.finish();
}

fn loader(c: &mut Criterion) {
    let mut group = c.benchmark_group("load");
    for name in ["fib", "documents"] {
        let bytes = read(compiled(name));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| Program::from_bytes(black_box(&bytes)).expect("it is a program"));
        });
    }
    group.finish();
}

fn codecs(c: &mut Criterion) {
    let stream = read("tests/cassettes/openai/chat_stream.sse").repeat(50);
    let answer = read("tests/cassettes/openai/chat_response.json");
    let prompt = "What is the capital of France?";
    let codec = Codec::new("openai", prompt).expect("it is a kind of provider");
    let mut group = c.benchmark_group("codec");
    group.bench_function("encode", |b| b.iter(|| codec.encode().expect("it can be said")));
    group.bench_function("decode", |b| b.iter(|| codec.decode(black_box(&answer)).expect("good")));
    group.throughput(Throughput::Bytes(stream.len() as u64));
    for piece in [1_400, 16_000] {
        group.bench_function(format!("events, pieces of {piece} bytes"), |b| {
            b.iter(|| events(black_box(&stream), piece).expect("no event is too large"));
        });
    }
    group.bench_function("events and their texts", |b| {
        b.iter(|| codec.decode_stream(black_box(&stream)).expect("a good stream"));
    });
    group.finish();
}

fn limits_and_counters(c: &mut Criterion) {
    let mut group = c.benchmark_group("call");
    for (name, with_window) in [("slot", false), ("slot and window", true)] {
        let slots = Slots::new(with_window);
        group.bench_function(name, |b| b.iter(|| assert!(slots.pass())));
    }
    let counted = Counted::new();
    group.bench_function("counters", |b| b.iter(|| counted.call()));
    group.bench_function("snapshot", |b| b.iter(|| counted.tokens()));
    group.finish();
}

criterion_group!(parts, machine, loader, codecs, limits_and_counters);
criterion_main!(parts);
