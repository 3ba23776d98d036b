//! The read models against a real PostgreSQL and a real NATS.

mod following;
mod world;
