//! A hub that sends and a hub that receives: both have the same contact, for every format in which a web hook writes the eleven
//! groups, and after a relay wrote them in another order and charset.

mod direct;
mod people;
mod relayed;
