"""What a program that connects to a cluster can use: tokens, pools and retries."""
