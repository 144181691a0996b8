//! The real program among things that fail: a broker that goes away, a disk that is full, destinations that are down,
//! hang or flap; and told to stop in the middle of it.

mod broker;
mod destination;
mod disk;
mod stop;
