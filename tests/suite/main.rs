//! One binary, every test.

mod accounts;
mod architecture;
mod assets;
mod configuration;
mod faults;
mod jobs;
mod page;
mod people;
mod pipelines;
mod photos;
mod search;
mod server;
mod timeline;
mod uploads;
