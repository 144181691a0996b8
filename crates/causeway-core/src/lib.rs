//! causeway-core
