//! What the library may ask of the world, by name: the operands of `effect`. `docs/ir.md` lists them.

macro_rules! requests {
    ($($variant:ident $name:literal $arity:literal;)*) => {
        /// Something that the library asks of the world; the engine answers it with a value.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "docs/ir.md describes each")]
        pub enum Request { $($variant),* }

        /// Request, name and number of arguments of each.
        static TABLE: &[(Request, &str, usize)] = &[$((Request::$variant, $name, $arity)),*];
    };
}

requests! {
    RandomFloat "random.float" 0;
    RandomInt "random.int" 2;
    RandomUuid "random.uuid" 0;
    RandomBytes "random.bytes" 1;
    TimeNow "time.now_ms" 0;
    TimeMonotonic "time.monotonic_ms" 0;
    TimeSleep "time.sleep" 1;
    EnvRead "env.read" 1;
    EnvHas "env.has" 1;
    EnvAll "env.all" 0;
    EnvArgs "env.args" 0;
    LogWrite "log.write" 3;
    TaskYield "task.yield" 0;
    TaskIsCancelled "task.is_cancelled" 0;
    RetryDelay "retry.delay" 4;
    PipelineStart "pipeline.start" 3;
    PipelineStageStart "pipeline.stage_start" 4;
    PipelineStageRetry "pipeline.stage_retry" 6;
    PipelineStageComplete "pipeline.stage_complete" 4;
    PipelineAttempt "pipeline.attempt" 1;
    PipelineError "pipeline.error" 3;
    PipelineComplete "pipeline.complete" 1;
    FsRead "fs.read_file" 1;
    FsWrite "fs.write_file" 2;
    FsAppend "fs.append_file" 2;
    FsExists "fs.exists" 1;
    FsIsFile "fs.is_file" 1;
    FsIsDir "fs.is_dir" 1;
    FsList "fs.list_dir" 1;
    FsRemove "fs.remove_file" 1;
    FsCreateDir "fs.create_dir" 2;
    FsCopy "fs.copy" 2;
    FsRename "fs.rename" 2;
    FsSize "fs.file_size" 1;
    StoreOpen "store.open" 1;
    StoreKey "store.key" 2;
    StoreValue "store.value" 2;
    HttpSend "http.request" 5;
    TestCover "test.cover" 1;
}

impl Request {
    /// Whether the task waits for its answer: others go on meanwhile.
    #[must_use]
    pub fn waits(self) -> bool {
        matches!(self, Self::TimeSleep | Self::HttpSend)
    }

    /// Whether it is about the run of a pipeline.
    #[must_use]
    pub fn is_of_pipelines(self) -> bool {
        self.name().starts_with("pipeline.")
    }

    /// A request by its number.
    #[must_use]
    pub fn at(index: u32) -> Option<Self> {
        TABLE.get(index as usize).map(|(request, ..)| *request)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        TABLE.get(self as usize).map_or("", |(_, name, _)| name)
    }
}

/// The number of a request.
#[must_use]
pub fn find(name: &str) -> Option<u32> {
    let index = TABLE.iter().position(|(_, own, _)| *own == name)?;
    u32::try_from(index).ok()
}

/// How many arguments a request has.
#[must_use]
pub fn arity(index: u32) -> Option<usize> {
    TABLE.get(index as usize).map(|(.., arity)| *arity)
}

/// Name and number of arguments of each.
#[must_use]
pub fn list() -> Vec<(&'static str, usize)> {
    TABLE.iter().map(|(_, name, arity)| (*name, *arity)).collect()
}
