//! Real servers from packages, started by the test.
