//! One binary, every test.

mod accounts;
mod architecture;
mod assets;
mod benches;
mod configuration;
mod faults;
mod inference;
mod jobs;
mod page;
mod people;
mod photos;
mod pipelines;
mod plugin_host;
mod quality;
mod search;
mod server;
mod timeline;
mod uploads;
mod websocket;
