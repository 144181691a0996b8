//! The real program with failures around it: a broker that disappears, a full disk, destinations that are down, hang or flap,
//! and a stop under load.

mod broker;
mod destination;
mod disk;
mod stop;
