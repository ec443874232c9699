//! One binary, every test.

mod accounts;
mod architecture;
mod assets;
mod configuration;
mod faults;
mod inference;
mod jobs;
mod page;
mod people;
mod photos;
mod pipelines;
mod plugin_files;
mod plugin_host;
mod plugin_limits;
mod plugin_loading;
mod quality;
mod search;
mod server;
mod timeline;
mod uploads;
mod websocket;
