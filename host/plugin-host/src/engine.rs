//! The engine, its clock, and the threads that guests run on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::{HostError, Lent};

/// How often a busy guest lets others run, and the grain of deadlines.
pub const TICK: Duration = Duration::from_millis(10);

/// What all plugins of a process share.
pub struct Shared {
    pub engine: Engine,
    pub lent: Lent,
    /// Heavy work of the host at once.
    pub heavy: Arc<Semaphore>,
    /// Guests never run on the threads that answer HTTP.
    runtime: Option<tokio::runtime::Runtime>,
    stop: Arc<AtomicBool>,
}

impl Shared {
    pub fn new(threads: usize, lent: Lent) -> Result<Self, HostError> {
        let engine = pooling()
            .or_else(|error| {
                tracing::info!(%error, "No pooling allocator on this machine, instances are made on demand");
                Engine::new(&config())
            })
            .map_err(|error| HostError::Engine(format!("{error:#}")))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("guest")
            .enable_all()
            .build()
            .map_err(|error| HostError::Engine(error.to_string()))?;
        let stop = Arc::new(AtomicBool::new(false));
        tick(engine.weak(), stop.clone()).map_err(|error| HostError::Engine(error.to_string()))?;
        let heavy = Arc::new(Semaphore::new(lent.heavy.max(1)));
        Ok(Self { engine, lent, heavy, runtime: Some(runtime), stop })
    }

    /// The threads that guests run on.
    pub fn guests(&self) -> &tokio::runtime::Handle {
        self.runtime.as_ref().expect("the runtime is taken only when the host is dropped").handle()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A runtime may not be waited for on an async thread.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // A guest is one task to us: without its own tasks a call costs a third (FACTS 2).
        .concurrency_support(false)
        .epoch_interruption(true)
        .memory_init_cow(true)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20);
    config
}

/// Copy-on-write slots. Some machines have too little address space for them.
fn pooling() -> wasmtime::Result<Engine> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(64)
        .total_core_instances(256)
        .total_memories(64)
        .total_tables(256)
        .total_stacks(64)
        .max_core_instances_per_component(48)
        .max_memories_per_component(4)
        .max_tables_per_component(4)
        .table_elements(20_000)
        .max_component_instance_size(1 << 20)
        .max_core_instance_size(1 << 20)
        .max_memory_size(1 << 30)
        .max_unused_warm_slots(8);
    let mut config = config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}

fn tick(engine: wasmtime::EngineWeak, stop: Arc<AtomicBool>) -> std::io::Result<()> {
    std::thread::Builder::new().name("epoch".into()).spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(TICK);
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
        }
    })?;
    Ok(())
}
