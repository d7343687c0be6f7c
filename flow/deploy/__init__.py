"""What PYNQ needs beside a bitstream."""
