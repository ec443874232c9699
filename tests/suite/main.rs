//! One binary, every test.

mod access;
mod accounts;
mod architecture;
mod assets;
mod configuration;
mod contract;
mod faces;
mod faults;
mod hostile;
mod inference;
mod input;
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
