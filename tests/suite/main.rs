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
mod plugin_host;
mod quality;
mod recovery;
mod search;
mod server;
mod statements;
mod steps;
mod timeline;
mod upkeep;
mod uploads;
mod websocket;
