//! A hub that sends and a hub that receives: what the second knows of a person is what the first knows, in every way that a
//! web hook can write the eleven groups, and after a relay wrote them in another order and in another charset.

mod direct;
mod people;
mod relayed;
