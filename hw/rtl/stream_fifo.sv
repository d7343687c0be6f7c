// First-in first-out buffer between two valid/ready streams.
//
// A word that is taken in one cycle is offered at the output in the next. The input is ready whenever a place
// is free, whatever the output does, so no combinational path crosses the buffer. `clear` empties it at the
// next edge; a word taken in that same cycle is lost with the rest.
`default_nettype none

module stream_fifo #(
  /// Width of a word, in bits.
  parameter int unsigned WIDTH = 64,
  /// Words that fit; a power of two, at least 2. Up to 64 they lie in distributed memory at little cost.
  parameter int unsigned DEPTH = 64
) (
  /// Clock.
  input  wire                        clk,
  /// Synchronous reset, active low.
  input  wire                        rst_n,
  /// Forget everything that is stored.
  input  wire                        clear,
  /// Word at the input.
  input  wire  [WIDTH-1:0]           in_data,
  /// The input word is there.
  input  wire                        in_valid,
  /// A place is free.
  output logic                       in_ready,
  /// Oldest word stored.
  output logic [WIDTH-1:0]           out_data,
  /// At least one word is stored.
  output logic                       out_valid,
  /// The output word is taken.
  input  wire                        out_ready,
  /// Words stored.
  output logic [$clog2(DEPTH):0]     count
);

  localparam int unsigned ADDRESS = $clog2(DEPTH);

  if (DEPTH < 2 || (DEPTH & (DEPTH - 1)) != 0) begin : g_depth
    $error("stream_fifo: DEPTH must be a power of two and at least 2");
  end

  (* ram_style = "distributed" *)
  logic [WIDTH-1:0] memory [DEPTH];
  logic [ADDRESS-1:0] write_address;
  logic [ADDRESS-1:0] read_address;

  logic push;
  logic pop;
  assign push      = in_valid && in_ready;
  assign pop       = out_valid && out_ready;
  // The count's top bit is set exactly when all places are taken.
  assign in_ready  = !count[ADDRESS];
  assign out_data  = memory[read_address];

  always_ff @(posedge clk) begin
    if (push) memory[write_address] <= in_data;
  end

  always_ff @(posedge clk) begin
    if (!rst_n || clear) begin
      write_address <= '0;
      read_address  <= '0;
      count         <= '0;
      out_valid     <= 1'b0;
    end else begin
      if (push) write_address <= write_address + 1'b1;
      if (pop)  read_address  <= read_address + 1'b1;
      // `push` may come late and only enables; which way is told by `pop` alone.
      if (push != pop) count <= pop ? count - 1'b1 : count + 1'b1;
      out_valid <= push || (out_valid && !(pop && count == (ADDRESS + 1)'(1)));
    end
  end

endmodule

`default_nettype wire
