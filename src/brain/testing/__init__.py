"""Help for tests of code that uses this package."""
