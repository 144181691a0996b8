//! The disk of the store is full: nothing is taken, nothing is lost, and afterwards everything goes on.
