"""The demonstration of gravity_memory: sample memories of four people, and a program that runs them through it."""
