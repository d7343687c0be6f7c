// The registers that a driver sees (offsets and meanings: hw/interface.json), and the start of a batch.
//
// A batch is started by the bit `start` of `control`. A start that cannot be done (no frames, a mode that
// the build lacks, a misaligned address: tested in this order) sets the error code and the interrupt and
// starts nothing. A start while `busy` is ignored. Afterwards exactly one of `done` and `error` is set, and
// the interrupt is pending. The batch takes its settings in the cycle of the start, so a driver may write the
// next batch's meanwhile.
//
// Soft reset (`reset` of `control`, stronger than a start in the same write) clears status and interrupt; the
// settings stay, and the counters until the next start. The accelerator remains busy until every bus transfer
// under way has ended.
//
// An offset that is no register reads as zero, and a write to it or to a read-only register changes nothing:
// an error answer would end the host's process, and a dump of the whole range must stay possible.
`default_nettype none

module registers
  import gatefold_pkg::*;
#(
  /// First 32 bits of the build's SHA-256.
  parameter logic [31:0] BUILD_HASH   = 32'h0,
  /// Modes in the program, 1 to 255.
  parameter int unsigned MODES        = 5,
  /// Classes, 1 to 255.
  parameter int unsigned CLASSES      = 10,
  /// Length of a result record, in 32-bit words.
  parameter int unsigned RECORD_WORDS = 32
) (
  /// Clock.
  input  wire         clk,
  /// Synchronous reset, active low.
  input  wire         rst_n,

  /// One word is written in this cycle: byte address, value, bytes.
  input  wire         write,
  input  wire  [11:0] write_address,
  input  wire  [31:0] write_data,
  input  wire  [3:0]  write_strobe,
  /// Byte address of the word that is read, and its value.
  input  wire  [11:0] read_address,
  output logic [31:0] read_data,
  /// Interrupt, level: pending and enabled.
  output logic        irq,

  /// A valid batch starts in this cycle, with the settings below.
  output logic        start,
  /// A soft reset is asked for in this cycle.
  output logic        soft_reset,
  /// Address of the images.
  output logic [31:0] source,
  /// Address of the records.
  output logic [31:0] destination,
  /// Frames in the batch.
  output logic [31:0] frames,
  /// Mode of every frame when `mode_list` is zero.
  output logic [7:0]  mode,
  /// Address of the modes, or zero.
  output logic [31:0] mode_list,

  /// A batch or a reset is under way.
  input  wire         busy,
  /// The batch ends in this cycle.
  input  wire         finish,
  /// Error code of its end; zero when all its records are written.
  input  wire  [7:0]  finish_error,
  /// Counters of the batch.
  input  wire  [31:0] frames_done,
  input  wire  [31:0] cycles,
  input  wire  [31:0] tiles
);

  if (MODES < 1 || MODES > 255) begin : g_modes
    $error("registers: MODES must be 1 to 255");
  end
  if (CLASSES < 1 || CLASSES > 255) begin : g_classes
    $error("registers: CLASSES must be 1 to 255");
  end

  // Only the written bytes of a word change.
  function automatic logic [31:0] merge(input logic [31:0] old, input logic [31:0] value, input logic [3:0] bytes);
    logic [31:0] mask;
    mask = {{8{bytes[3]}}, {8{bytes[2]}}, {8{bytes[1]}}, {8{bytes[0]}}};
    return (old & ~mask) | (value & mask);
  endfunction

  logic [31:0] mode_word;
  assign mode = mode_word[7:0];

  if (1) begin : g_settings
    always_ff @(posedge clk) begin
      if (!rst_n) begin
        source      <= '0;
        destination <= '0;
        frames      <= '0;
        mode_word   <= '0;
        mode_list   <= '0;
      end else if (write) begin
        case (write_address)
          REG_SOURCE:      source      <= merge(source, write_data, write_strobe);
          REG_DESTINATION: destination <= merge(destination, write_data, write_strobe);
          REG_FRAMES:      frames      <= merge(frames, write_data, write_strobe);
          REG_MODE:        mode_word   <= merge(mode_word, write_data, write_strobe);
          REG_MODE_LIST:   mode_list   <= merge(mode_list, write_data, write_strobe);
          default: ;
        endcase
      end
    end
  end

  logic       interrupt_enable;
  logic       interrupt_pending;
  logic       done;
  logic       error;
  logic [7:0] error_code;
  assign irq = interrupt_pending && interrupt_enable;

  if (1) begin : g_control
    logic       control_write;
    logic       start_request;
    logic       clear;
    logic [7:0] refusal;

    assign control_write = write && write_address == REG_CONTROL && write_strobe[0];
    assign soft_reset    = control_write && write_data[CONTROL_RESET];
    assign start_request = control_write && write_data[CONTROL_START] && !soft_reset && !busy;
    assign start         = start_request && refusal == ERR_NONE;
    assign clear         = write && write_address == REG_IRQ && write_strobe[0] && write_data[IRQ_PENDING];

    always_comb begin
      refusal = ERR_NONE;
      if (frames == '0)                                                 refusal = ERR_ZERO_FRAMES;
      else if (mode_list == '0 && mode_word >= MODES)                   refusal = ERR_BAD_MODE;
      else if ((source[6:0] | destination[6:0] | mode_list[6:0]) != '0) refusal = ERR_MISALIGNED_ADDRESS;
    end

    always_ff @(posedge clk) begin
      if (!rst_n) begin
        interrupt_enable  <= 1'b0;
        interrupt_pending <= 1'b0;
        done              <= 1'b0;
        error             <= 1'b0;
        error_code        <= ERR_NONE;
      end else begin
        if (control_write) interrupt_enable <= write_data[CONTROL_INTERRUPT];
        if (soft_reset || start_request || clear) begin
          interrupt_pending <= 1'b0;
          done              <= 1'b0;
          error             <= 1'b0;
          error_code        <= ERR_NONE;
        end
        // A batch that ends in the cycle of a clear is not lost.
        if (!soft_reset) begin
          if (start_request && refusal != ERR_NONE) begin
            interrupt_pending <= 1'b1;
            error             <= 1'b1;
            error_code        <= refusal;
          end
          if (finish) begin
            interrupt_pending <= 1'b1;
            done              <= finish_error == ERR_NONE;
            error             <= finish_error != ERR_NONE;
            error_code        <= finish_error;
          end
        end
      end
    end
  end

  always_comb begin
    read_data = '0;
    case (read_address)
      REG_ID:          read_data = INTERFACE_ID;
      REG_VERSION:     read_data = INTERFACE_VERSION;
      REG_BUILD_HASH:  read_data = BUILD_HASH;
      REG_CONFIG: begin
        read_data[CONFIG_MODES+:CONFIG_MODES_WIDTH]               = CONFIG_MODES_WIDTH'(MODES);
        read_data[CONFIG_CLASSES+:CONFIG_CLASSES_WIDTH]           = CONFIG_CLASSES_WIDTH'(CLASSES);
        read_data[CONFIG_RECORD_WORDS+:CONFIG_RECORD_WORDS_WIDTH] = CONFIG_RECORD_WORDS_WIDTH'(RECORD_WORDS);
      end
      REG_CONTROL:     read_data[CONTROL_INTERRUPT] = interrupt_enable;
      REG_STATUS: begin
        read_data[STATUS_BUSY]  = busy;
        read_data[STATUS_DONE]  = done;
        read_data[STATUS_ERROR] = error;
        read_data[STATUS_ERROR_CODE+:STATUS_ERROR_CODE_WIDTH] = error_code;
      end
      REG_IRQ:         read_data[IRQ_PENDING] = interrupt_pending;
      REG_SOURCE:      read_data = source;
      REG_DESTINATION: read_data = destination;
      REG_FRAMES:      read_data = frames;
      REG_MODE:        read_data = mode_word;
      REG_MODE_LIST:   read_data = mode_list;
      REG_FRAMES_DONE: read_data = frames_done;
      REG_CYCLES:      read_data = cycles;
      REG_TILES:       read_data = tiles;
      default: ;
    endcase
  end

endmodule

`default_nettype wire
