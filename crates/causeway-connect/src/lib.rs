//! causeway-connect
