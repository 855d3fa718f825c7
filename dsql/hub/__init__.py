"""Many activities in one thread: plain code that blocks, and gives way to the others where it waits."""
