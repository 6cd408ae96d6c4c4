//! corefit finds the worker count that fits a program.
