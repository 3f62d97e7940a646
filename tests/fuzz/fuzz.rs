//! Feeds damaged programs to the loader, the verifier, the rewriting and the virtual machine, thousands a second (`make fuzz-deep`).
//!
//! `fuzz --programs DIR [--count N] [--seconds S] [--seed N] [--first I] [--jobs J] [--crashes DIR]` makes inputs number I, I + 1, .. out of the compiled
//! programs in a folder and feeds each; `fuzz --input FILE ..` feeds files. What must not happen: a panic on any thread, an abort, a hang, or more
//! memory than the caller's `ulimit -v`. Nothing is caught: workers are processes that may die. The watcher knows from a small file which input was
//! at work, makes it again, and keeps it.

#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a tool for tests"
)]

mod damage;

use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use concerto::{Clock, EmitMode, FileMode, Program, Runtime, RuntimeBuilder, TestOptions, Value};
use fastrand::Rng;
use serde_json::{Value as Json, json};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How often a run is polled before it is dropped: each time it computes about a millisecond at most.
const POLLS: u32 = 8;
/// Larger programs take most of the time and show little more.
const LARGEST: usize = 40_000;
/// One input may take this long, on a machine that others use too.
const LIMIT: Duration = Duration::from_secs(120);
/// How often the watcher looks, and says how far it is.
const GLANCE: Duration = Duration::from_millis(200);
const REPORT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("fuzz: {error}");
            ExitCode::from(2)
        }
    }
}

fn start() -> Outcome<ExitCode> {
    let options = Options::read()?;
    if !options.inputs.is_empty() {
        abort_on_panic();
        for path in &options.inputs {
            println!("{}: {:?}", path.display(), feed(&fs::read(path)?));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let programs = programs(&options.programs)?;
    match &options.progress {
        Some(progress) => work(&options, &programs, progress).map(|()| ExitCode::SUCCESS),
        None => watch(&options, &programs),
    }
}

#[derive(Clone, Debug)]
struct Options {
    programs: PathBuf,
    crashes: PathBuf,
    inputs: Vec<PathBuf>,
    count: u64,
    seconds: u64,
    seed: u64,
    first: u64,
    jobs: u64,
    /// Where a worker says what it is at; a process without it is the watcher.
    progress: Option<PathBuf>,
}

impl Options {
    fn read() -> Outcome<Self> {
        let mut options = Self {
            programs: PathBuf::new(),
            crashes: PathBuf::from("tests/fuzz/crashes"),
            inputs: Vec::new(),
            count: u64::MAX,
            seconds: u64::MAX,
            seed: 0,
            first: 0,
            jobs: 1,
            progress: None,
        };
        let mut args = std::env::args().skip(1);
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
            let number = || value.replace('_', "").parse::<u64>();
            match name.as_str() {
                "--programs" => options.programs = value.into(),
                "--crashes" => options.crashes = value.into(),
                "--input" => options.inputs.push(value.into()),
                "--progress" => options.progress = Some(value.into()),
                "--count" => options.count = number()?,
                "--seconds" => options.seconds = number()?,
                "--seed" => options.seed = number()?,
                "--first" => options.first = number()?,
                "--jobs" => options.jobs = number()?.max(1),
                _ => return Err(format!("unknown option {name}").into()),
            }
        }
        Ok(options)
    }
}

/// The compiled programs of a folder, the smallest first.
fn programs(folder: &Path) -> Outcome<Vec<Json>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let bytes = fs::read(&path)?;
        if path.extension().is_some_and(|ending| ending == "conc-ir") && bytes.len() <= LARGEST {
            found.push((bytes.len(), path, bytes));
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(format!("{} has no compiled programs", folder.display()).into());
    }
    found.into_iter().map(|(_, _, bytes)| Ok(serde_json::from_slice(&bytes)?)).collect()
}

/// The input of this number: the same on every machine.
fn input(programs: &[Json], seed: u64, index: u64) -> Vec<u8> {
    // SplitMix64's first step, so that neighbours have nothing in common.
    let mixed =
        seed.wrapping_mul(0xd134_2543_de82_ef95) ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    damage::damaged(programs, &mut Rng::with_seed(mixed))
}

/// What became of inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The loader said what is wrong.
    Refused,
    /// Nothing to run is in it, or no runtime takes it.
    Idle,
    /// It ran to its end.
    Ended,
    /// It ended with an error.
    Failed,
    /// It ended as code that no compiler writes.
    Broken,
    /// It went on and on, and was dropped.
    Dropped,
}

const FATES: [(Fate, &str); 6] = [
    (Fate::Refused, "refused"),
    (Fate::Idle, "idle"),
    (Fate::Ended, "ended"),
    (Fate::Failed, "failed"),
    (Fate::Broken, "stopped as broken"),
    (Fate::Dropped, "dropped while running"),
];

/// Loads bytes and runs what can be run of them.
fn feed(bytes: &[u8]) -> Fate {
    let Ok(program) = Program::from_bytes(bytes) else { return Fate::Refused };
    let written = program.to_bytes();
    let again = Program::from_bytes(&written).expect("what was written can be read");
    assert_eq!(again.to_bytes(), written, "the canonical form is stable");
    assert!(!program.listing().is_empty());
    let mut fate = Fate::Idle;
    let Ok(runtime) = closed(program.clone()).build() else { return fate };
    // Requests come back as they were sent, so that replies are of every kind.
    runtime.on_emit("*", |_: String, payload: Value| async move { Ok(payload) });
    let mut entries = program.entry_points();
    entries.truncate(3);
    if program.has_main() {
        fate = driven(runtime.run());
    }
    for entry in entries {
        let args: Vec<Json> = entry.parameters.iter().map(|(_, ty, _)| argument(ty)).collect();
        fate = driven(runtime.call_raw(&entry.name, args));
    }
    assert!(runtime.get_metrics().to_json().is_object());
    for index in 0..program.tests().len().min(2) {
        let options = TestOptions { timeout: Duration::from_millis(5), ..TestOptions::default() };
        let report = closed(program.clone()).run_test(index, &options, &mut || Ok(()));
        fate = report.map_or(Fate::Failed, |_| Fate::Ended);
    }
    fate
}

/// A runtime from which nothing leads outside.
fn closed(program: Program) -> RuntimeBuilder {
    Runtime::builder(program)
        .mock(true)
        .env(HashMap::new())
        .env_allow([])
        .fs_mode(FileMode::None)
        .offline(true)
        .net_allow([])
        .clock(Clock::new_virtual())
        .seed(1)
        .audit(true)
        .emit_mode(EmitMode::Immediate)
        .log_sink(|record| drop(record.message.clone()))
        .max_call_depth(300)
        .max_tasks(100)
        .max_store_bytes(1 << 20)
}

/// Something that may fit a parameter of this type.
fn argument(ty: &str) -> Json {
    match ty {
        "Int" => json!(3),
        "Float" => json!(2.5),
        "Bool" => json!(true),
        "String" => json!("a text, with é"),
        _ if ty.starts_with("Array<Int") => json!([3, 1, 2]),
        _ if ty.starts_with("Array<String") => json!(["b", "a"]),
        _ if ty.starts_with("Map<") => json!({"a": 1}),
        _ => json!(null),
    }
}

/// Polls a run a few times, then drops it: where it waits, or in the middle of its work.
fn driven(run: impl Future<Output = Result<Value, concerto::Error>>) -> Fate {
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut run = pin!(run);
    for _ in 0..POLLS {
        woken.0.store(false, Ordering::Relaxed);
        match run.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(Ok(value)) => {
                black_box((value.to_string(), concerto::to_json(&value)));
                return Fate::Ended;
            }
            Poll::Ready(Err(error)) => {
                let is_broken = error.to_string().contains("internal");
                return if is_broken { Fate::Broken } else { Fate::Failed };
            }
            Poll::Pending if woken.0.load(Ordering::Relaxed) => {}
            Poll::Pending => return Fate::Dropped,
        }
    }
    Fate::Dropped
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A panic on any thread is a find.
fn abort_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        usual(info);
        std::process::abort();
    }));
}

/// How far a worker is: the number of the input at work, and what became of those before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    index: u64,
    fates: [u64; FATES.len()],
}

impl Progress {
    fn write(&self, file: &mut File) -> std::io::Result<()> {
        let mut bytes = [0; 8 * (1 + FATES.len())];
        let numbers = std::iter::once(&self.index).chain(&self.fates);
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&bytes)
    }

    /// As the worker left it; `None` if it has not begun.
    fn read(path: &Path) -> Option<Self> {
        let mut bytes = [0; 8 * (1 + FATES.len())];
        File::open(path).ok()?.read_exact(&mut bytes).ok()?;
        let numbers = bytes.chunks_exact(8).map(|chunk| chunk.try_into().map(u64::from_le_bytes));
        let numbers: Vec<u64> = numbers.collect::<Result<_, _>>().ok()?;
        Some(Self { index: numbers[0], fates: numbers[1..].try_into().ok()? })
    }

    fn done(&self) -> u64 {
        self.fates.iter().sum()
    }
}

/// Feeds every `jobs`-th input from `first` on.
fn work(options: &Options, programs: &[Json], progress: &Path) -> Outcome<()> {
    abort_on_panic();
    let mut file = File::create(progress)?;
    let until = Instant::now().checked_add(Duration::from_secs(options.seconds));
    let mut now = Progress { index: options.first, ..Progress::default() };
    while now.done() < options.count && until.is_none_or(|until| Instant::now() < until) {
        now.write(&mut file)?;
        let fate = feed(&input(programs, options.seed, now.index));
        now.fates[FATES.iter().position(|(own, _)| *own == fate).unwrap()] += 1;
        now.index += options.jobs;
    }
    Ok(now.write(&mut file)?)
}

/// One worker, as the watcher sees it.
struct Job {
    options: Options,
    child: Child,
    path: PathBuf,
    seen: Progress,
    since: Instant,
    /// Of the workers before it, which died.
    before: Progress,
}

impl Job {
    fn start(options: &Options, path: &Path, before: Progress) -> Outcome<Self> {
        let _ = fs::remove_file(path);
        let child = Command::new(std::env::current_exe()?)
            .arg("--programs")
            .arg(&options.programs)
            .arg("--progress")
            .arg(path)
            .args(["--count", &options.count.to_string()])
            .args(["--seconds", &options.seconds.to_string()])
            .args(["--seed", &options.seed.to_string()])
            .args(["--first", &options.first.to_string()])
            .args(["--jobs", &options.jobs.to_string()])
            .stdout(Stdio::null()) // programs print
            .spawn()?;
        let (path, options) = (path.to_owned(), options.clone());
        let seen = Progress { index: options.first, ..Progress::default() };
        Ok(Self { options, child, path, seen, since: Instant::now(), before })
    }

    /// Looks at the worker: whether it goes on, has ended well, or how it died.
    fn glance(&mut self) -> Outcome<Option<Result<(), String>>> {
        let ended = self.child.try_wait()?;
        let seen = Progress::read(&self.path).unwrap_or(self.seen);
        if seen != self.seen {
            (self.seen, self.since) = (seen, Instant::now());
        }
        match ended {
            Some(status) if status.success() => Ok(Some(Ok(()))),
            Some(status) => Ok(Some(Err(status.to_string()))),
            None if self.since.elapsed() > LIMIT => {
                self.child.kill()?;
                self.child.wait()?;
                Ok(Some(Err(format!("no end within {} s", LIMIT.as_secs()))))
            }
            None => Ok(None),
        }
    }

    fn totals(&self) -> Progress {
        let mut sum = self.before;
        sum.fates.iter_mut().zip(self.seen.fates).for_each(|(sum, more)| *sum += more);
        sum
    }
}

/// Starts workers, keeps what they die of, and goes on behind it.
fn watch(options: &Options, programs: &[Json]) -> Outcome<ExitCode> {
    let begin = Instant::now();
    let (mut finds, mut reported, mut over) = (0, begin, Progress::default());
    let name = |job: u64| format!("concerto-fuzz-{}-{job}", std::process::id());
    let path = |job: u64| std::env::temp_dir().join(name(job));
    let mut jobs = Vec::new();
    for job in 0..options.jobs {
        // The first workers take one more each until all are given out.
        let count = options.count / options.jobs + u64::from(job < options.count % options.jobs);
        let own = Options { first: options.first + job, count, ..options.clone() };
        jobs.push(Job::start(&own, &path(job), Progress::default())?);
    }
    while !jobs.is_empty() {
        std::thread::sleep(GLANCE);
        let mut running = Vec::new();
        for mut job in jobs {
            match job.glance()? {
                None => running.push(job),
                Some(Ok(())) => {
                    over.fates.iter_mut().zip(job.totals().fates).for_each(|(s, m)| *s += m);
                    fs::remove_file(&job.path)?;
                }
                Some(Err(how)) => {
                    finds += 1;
                    let index = job.seen.index;
                    let kept = options.crashes.join(format!("ir-{}-{index}.json", options.seed));
                    fs::create_dir_all(&options.crashes)?;
                    fs::write(&kept, input(programs, options.seed, index))?;
                    eprintln!(
                        "input {index} of seed {}: {how}; kept as {}",
                        options.seed,
                        kept.display()
                    );
                    let rest = Options {
                        first: index + options.jobs,
                        count: job.options.count - job.seen.done() - 1,
                        seconds: options.seconds.saturating_sub(begin.elapsed().as_secs()),
                        ..job.options.clone()
                    };
                    running.push(Job::start(&rest, &job.path, job.totals())?);
                }
            }
        }
        jobs = running;
        if reported.elapsed() > REPORT || jobs.is_empty() {
            reported = Instant::now();
            let mut sum = over;
            for job in &jobs {
                sum.fates.iter_mut().zip(job.totals().fates).for_each(|(s, m)| *s += m);
            }
            report(options, programs.len(), &sum, finds, begin.elapsed());
        }
    }
    Ok(if finds == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(options: &Options, programs: usize, sum: &Progress, finds: u64, took: Duration) {
    let fates: Vec<String> =
        FATES.iter().zip(sum.fates).map(|((_, name), count)| format!("{count} {name}")).collect();
    println!(
        "{} inputs of {programs} programs, seed {} from {}, in {:.0} s: {}; {finds} went wrong",
        sum.done(),
        options.seed,
        options.first,
        took.as_secs_f64(),
        fates.join(", "),
    );
}
