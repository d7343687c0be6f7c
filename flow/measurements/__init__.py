"""What was measured on a board: its log, and the tables and charts of accuracy against energy."""
