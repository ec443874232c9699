//! The engine, its clock, and the threads that guests run on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::instance::{CORE_INSTANCES, MEMORIES, TABLE_ELEMENTS, TABLES};
use crate::{HostError, Lent, Plugin};

/// How often a busy guest lets others run, and the grain of deadlines.
pub const TICK: Duration = Duration::from_millis(10);

/// Reads and writes of plugins at once: a disk serves no more, and each takes a thread.
const IO: usize = 32;

/// What all plugins of a process share.
pub struct Shared {
    pub engine: Engine,
    pub lent: Lent,
    /// Heavy work of the host at once.
    pub heavy: Arc<Semaphore>,
    /// Work that waits for a disk at once.
    pub io: Arc<Semaphore>,
    /// Those that may keep warm instances.
    plugins: Mutex<Vec<Weak<Plugin>>>,
    /// Guests never run on the threads that answer HTTP.
    runtime: Option<tokio::runtime::Runtime>,
    /// The runtime that made this host, if one did.
    outside: Option<Handle>,
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
        let io = Arc::new(Semaphore::new(IO));
        Ok(Self {
            engine,
            lent,
            heavy,
            io,
            plugins: Mutex::default(),
            runtime: Some(runtime),
            outside: Handle::try_current().ok(),
            stop,
        })
    }

    /// A plugin that may keep warm instances.
    pub fn register(&self, plugin: &Arc<Plugin>) {
        let mut plugins = self.plugins.lock();
        plugins.retain(|plugin| plugin.strong_count() > 0);
        plugins.push(Arc::downgrade(plugin));
    }

    /// Drops a warm instance of the plugin that has most of them, so that another gets its slot. Was there one?
    pub fn evict(&self) -> bool {
        let plugins: Vec<Arc<Plugin>> = self.plugins.lock().iter().filter_map(Weak::upgrade).collect();
        let most = plugins.iter().max_by_key(|plugin| plugin.warm.lock().len());
        // The one that has waited longest.
        let evicted = most.and_then(|plugin| {
            let mut warm = plugin.warm.lock();
            if warm.is_empty() { None } else { Some(warm.remove(0)) }
        });
        evicted.is_some()
    }

    /// Where what waits for a network runs: connections that would be served between the ticks of guests are slow ones.
    pub fn outside(&self) -> Handle {
        self.outside.clone().unwrap_or_else(|| self.guests().clone())
    }

    /// The threads that guests run on.
    pub fn guests(&self) -> &Handle {
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
        .max_core_instances_per_component(CORE_INSTANCES as u32)
        .max_memories_per_component(MEMORIES as u32)
        .max_tables_per_component(TABLES as u32)
        .max_memories_per_module(MEMORIES as u32)
        .max_tables_per_module(TABLES as u32)
        .table_elements(TABLE_ELEMENTS)
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
