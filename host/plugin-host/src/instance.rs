//! One instance of a guest: its store, its limits, its end.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Store, UpdateDeadline};

use crate::grant::Grant;
use crate::manifest::Manifest;

/// Handles that a guest may hold.
const HANDLES: usize = 1_000;
/// Bytes that one call may carry across by value.
const HOSTCALL_BYTES: usize = 8 << 20;
const TABLE_ELEMENTS: usize = 20_000;

/// What host functions know of the guest that calls them.
pub struct HostState {
    pub table: ResourceTable,
    pub grant: Arc<Grant>,
    pub manifest: Arc<Manifest>,
    /// When the present call has to be over.
    pub deadline: Instant,
    /// Payload bytes that were copied into or out of the guest's memory in this call.
    pub copied: u64,
}

impl ResourceLimiter for HostState {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= self.grant.memory)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}

/// A store for a fresh instance.
pub fn store(engine: &wasmtime::Engine, grant: Arc<Grant>, manifest: Arc<Manifest>) -> Store<HostState> {
    let mut table = ResourceTable::new();
    table.set_max_capacity(HANDLES);
    let state = HostState { table, grant, manifest, deadline: Instant::now(), copied: 0 };
    let mut store = Store::new(engine, state);
    store.limiter(|state| state);
    store.set_hostcall_fuel(HOSTCALL_BYTES);
    store.set_epoch_deadline(1);
    // Every tick the guest lets others run; at its deadline it ends.
    store.epoch_deadline_callback(|context| {
        if Instant::now() >= context.data().deadline { Ok(UpdateDeadline::Interrupt) } else { Ok(UpdateDeadline::Yield(1)) }
    });
    store
}
