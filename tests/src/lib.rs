//! Tests of the whole: the house's own rules, and everything end to end through HTTP.
