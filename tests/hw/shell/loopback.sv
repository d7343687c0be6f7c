// Stands at the engine's place in the tests of the shell: answers a frame with sums over what it received.
//
// The record: frame counter, mode, 0, 0, 0, tiles = TILES * (mode + 1), 0, 0, then three sums over the image's 32-bit
// words: plain, exclusive or, weighted by position (from 1). The record of a frame leaves WAIT * (mode + 1) cycles after
// its last beat, while the next frame may come in.
//
// A network image is taken and summed up, `network` words in all. Its first word is the error that ends it; the engine then takes
// what still comes, as it is.
`default_nettype none

module loopback
  import gatefold_pkg::*;
#(
  parameter int unsigned IMAGE_BEATS  = 384,
  parameter int unsigned RECORD_BEATS = 16,
  parameter int unsigned WAIT         = 50,
  parameter int unsigned TILES        = 7
) (
  input  wire         clk,
  input  wire         rst_n,
  input  wire  [63:0] s_axis_tdata,
  input  wire         s_axis_tvalid,
  output logic        s_axis_tready,
  output logic        network_done,
  output logic [7:0]  network_error,
  output logic [31:0] network_sum,
  output logic [63:0] m_axis_tdata,
  output logic        m_axis_tvalid,
  input  wire         m_axis_tready
);

  logic [31:0] low, high;
  assign {high, low} = s_axis_tdata;

  logic        header;
  logic        network;
  logic [35:0] network_left;
  logic [31:0] beat, sum, exor, weighted;
  logic [7:0]  mode;
  logic        full;         // a frame is complete and waits for the sender
  logic        sending;
  logic [31:0] wait_left, sent, counter;
  logic [31:0] out_sum, out_exor, out_weighted;
  logic [7:0]  out_mode;

  assign s_axis_tready = !full;
  assign m_axis_tvalid = sending && wait_left == 0;

  always_comb begin
    case (sent)
      0: m_axis_tdata = {24'b0, out_mode, counter};
      2: m_axis_tdata = {TILES * (32'(out_mode) + 1), 32'b0};
      4: m_axis_tdata = {out_exor, out_sum};
      5: m_axis_tdata = {32'b0, out_weighted};
      default: m_axis_tdata = '0;
    endcase
  end

  always_ff @(posedge clk) begin
    network_done <= 1'b0;
    if (!rst_n) begin
      network_error <= '0;
      network       <= 1'b0;
      header  <= 1'b1;
      full    <= 1'b0;
      sending <= 1'b0;
      counter <= '0;
    end else begin
      if (s_axis_tvalid && s_axis_tready) begin
        if (network) begin
          if (network_sum == '0 && low != '0) network_error <= low[7:0];
          network_sum  <= network_sum + 1 + high;
          network_left <= network_left - 1;
          if (network_left == 1) begin
            network      <= 1'b0;
            network_done <= network_error == '0;
          end
        end else if (header && s_axis_tdata[HEADER_NETWORK]) begin
          network      <= 1'b1;
          network_sum  <= '0;
          network_left <= {high, 4'd0};
        end else if (header) begin
          header   <= 1'b0;
          mode     <= s_axis_tdata[7:0];
          beat     <= '0;
          sum      <= '0;
          exor     <= '0;
          weighted <= '0;
        end else begin
          sum      <= sum + low + high;
          exor     <= exor ^ low ^ high;
          weighted <= weighted + low * (2 * beat + 1) + high * (2 * beat + 2);
          beat     <= beat + 1;
          if (beat == IMAGE_BEATS - 1) begin
            header <= 1'b1;
            full   <= 1'b1;
          end
        end
      end
      if (full && !sending) begin
        full         <= 1'b0;
        sending      <= 1'b1;
        sent         <= '0;
        wait_left    <= WAIT * (32'(mode) + 1);
        out_mode     <= mode;
        out_sum      <= sum;
        out_exor     <= exor;
        out_weighted <= weighted;
      end
      if (sending) begin
        if (wait_left != 0) wait_left <= wait_left - 1;
        else if (m_axis_tready) begin
          sent <= sent + 1;
          if (sent == RECORD_BEATS - 1) begin
            sending <= 1'b0;
            counter <= counter + 1;
          end
        end
      end
    end
  end

endmodule

`default_nettype wire
