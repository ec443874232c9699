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
mod plugin_host;
mod pipelines;
mod quality;
mod search;
mod server;
mod timeline;
mod uploads;
