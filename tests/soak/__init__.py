"""A server for as long as one likes, with many clients, some of which behave badly."""
