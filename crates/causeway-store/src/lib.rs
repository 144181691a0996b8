//! causeway-store
