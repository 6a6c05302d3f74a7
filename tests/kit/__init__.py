"""What the tests are made with: real wheels, real indexes, real file systems."""
