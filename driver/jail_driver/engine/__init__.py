"""The engine: one actor per task that appends what is decided and performs what is owed."""
