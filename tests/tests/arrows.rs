//! Holds the arrows of the design.
