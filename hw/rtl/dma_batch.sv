// The life of a batch: from its start to its last record, its end on an error, or a soft reset.
//
// A batch ends well when all its records are written. It ends with `bad_mode_in_list` once the frames before
// the bad mode are written. A bus error or a soft reset ends it by draining: no new bus transfer starts
// (`abort`), those under way are ended, and the engine is held in reset (at least RESET_CYCLES cycles) since it
// may hold part of a frame. `busy` lasts until all of that is over; a memory that never answers thus keeps the
// accelerator busy, and only a reset of the whole bus helps.
//
// A batch of the other kind is a network image (`load`): it ends well when the engine has written it, and with the engine's error by
// draining. Frames need a network: `loaded` tells that the last image was written to its end.
`default_nettype none

module dma_batch
  import gatefold_pkg::*;
#(
  /// Shortest reset of the engine, in cycles, 1 to 255.
  parameter int unsigned RESET_CYCLES = 16
) (
  /// Clock.
  input  wire         clk,
  /// Synchronous reset, active low.
  input  wire         rst_n,

  /// Start of a batch, whose settings stand in this cycle and the next; ignored while busy.
  input  wire         start,
  /// It is a network image; stands still from a cycle after the start to its end.
  input  wire         load,
  /// Start of a soft reset.
  input  wire         soft_reset,
  /// Frames of the batch, taken at its start.
  input  wire  [31:0] frames,
  /// The engine has written the image, or cannot (level, until its reset).
  input  wire         network_done,
  input  wire  [7:0]  network_error,
  /// The engine holds a network.
  output logic        loaded,
  /// A batch or a reset is under way.
  output logic        busy,
  /// The batch ends in this cycle; not after a soft reset.
  output logic        finish,
  /// Error code of its end.
  output logic [7:0]  finish_error,
  /// Cycles since the start of this batch; stands still after its end.
  output logic [31:0] cycles,

  /// A batch starts in this cycle in the DMA, one after `start`.
  output logic        dma_start,
  /// Stop all transfers and empty all buffers.
  output logic        abort,
  /// Reset of the engine, active low.
  output logic        engine_rst_n,

  /// State of the reading side.
  input  wire         read_idle,
  input  wire         read_bad_mode,
  input  wire         read_bus_error,
  input  wire  [31:0] frames_read,
  /// State of the writing side.
  input  wire         write_idle,
  input  wire         write_bus_error,
  input  wire  [31:0] frames_done
);

  if (RESET_CYCLES < 1 || RESET_CYCLES > 255) begin : g_reset
    $error("dma_batch: RESET_CYCLES must be 1 to 255");
  end

  typedef enum logic [1:0] {IDLE, RUN, DRAIN} state_t;
  state_t      state;
  logic [31:0] target;
  logic [7:0]  reset_left;
  logic        failed;
  logic [7:0]  failure;
  logic        written;  // the image

  // The ends are told one cycle after they are seen: comparing counters takes most of one.
  logic whole;     // all records are written, or the image
  logic empty;     // nothing is under way any more
  logic bus_error;
  logic starting;
  logic complete;
  logic over;      // or cut short
  logic drained;
  logic failing;   // drained, and not by a soft reset
  assign whole = state == RUN && (load ? written && read_idle : frames_done == target);
  assign empty = state == DRAIN && !soft_reset && read_idle && write_idle && reset_left == '0;
  always_ff @(posedge clk) begin
    starting  <= rst_n && start && !busy;
    bus_error <= state == RUN && (read_bus_error || write_bus_error || (load && network_error != ERR_NONE));
    complete  <= whole;
    over      <= whole || (state == RUN && read_bad_mode && read_idle && write_idle && frames_done == frames_read);
    drained   <= empty;
    failing   <= empty && failed;
  end

  assign busy      = state != IDLE || starting;
  assign dma_start = starting;
  assign abort     = state == DRAIN;

  assign finish       = !soft_reset && ((state == RUN && over && !bus_error) || (state == DRAIN && failing));
  assign finish_error = complete ? ERR_NONE : failure;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      state        <= IDLE;
      failed       <= 1'b0;
      reset_left   <= '0;
      engine_rst_n <= 1'b0;
    end else begin
      engine_rst_n <= state != DRAIN;
      if (soft_reset) begin
        state      <= DRAIN;
        failed     <= 1'b0;
        reset_left <= 8'(RESET_CYCLES);
      end else begin
        case (state)
          IDLE: if (starting) state <= RUN;
          RUN: begin
            if (bus_error) begin
              state      <= DRAIN;
              failed     <= 1'b1;
              reset_left <= 8'(RESET_CYCLES);
            end else if (finish) begin
              state <= IDLE;
            end
          end
          DRAIN: begin
            if (reset_left != '0) reset_left <= reset_left - 1'b1;
            if (drained) state <= IDLE;
          end
          default: state <= IDLE;
        endcase
      end
    end
  end

  // Why the batch ends, unless it is complete; stands still while it drains.
  always_ff @(posedge clk) begin
    if (state == RUN)
      failure <= (load && network_error != ERR_NONE) ? network_error
                 : (read_bus_error || write_bus_error) ? ERR_BUS_ERROR : ERR_BAD_MODE_IN_LIST;
  end

  always_ff @(posedge clk) begin
    if (dma_start) target <= frames;
    if (!rst_n || dma_start) written <= 1'b0;
    else if (network_done)   written <= 1'b1;
    if (!rst_n || (dma_start && load)) loaded <= 1'b0;
    else if (state == RUN && complete && load && !bus_error && !soft_reset) loaded <= 1'b1;
  end

  always_ff @(posedge clk) begin
    if (!rst_n || dma_start)               cycles <= '0;
    else if (state == RUN && !finish)      cycles <= cycles + 1'b1;
  end

endmodule

`default_nettype wire
