// The registers that a driver sees (offsets and meanings: hw/interface.json), and the start of a batch.
//
// A batch is started by the bit `start` of `control`. A start that cannot be done (no frames, no network, a mode that
// it lacks, a misaligned address: tested in this order) sets the error code and the interrupt and
// starts nothing. A start while `busy` is ignored, and the flag `ignored` says so. Afterwards exactly one of `done` and `error` is set, and
// the interrupt is pending. The batch takes its settings in the cycle of the start, so a driver may write the
// next batch's meanwhile.
//
// The bit `load` starts in the same way the reading of a network image, of which `frames` tells the length.
//
// Soft reset (`reset` of `control`, stronger than a start in the same write) clears status and interrupt; the
// settings stay, and the counters until the next start. The accelerator remains busy until every bus transfer
// under way has ended.
//
// An offset that is no register reads as zero, and a write to it or to a read-only register changes nothing:
// an error answer would end the host's process, and a dump of the whole range must stay possible.
`default_nettype none

module registers
  import engine_pkg::*;
  import gatefold_pkg::*;
#(
  /// First 32 bits of the engine's SHA-256.
  parameter logic [31:0] ENGINE_HASH   = 32'h0,
  /// Classes, 1 to 255.
  parameter int unsigned CLASSES      = 10,
  /// Length of a result record, in 32-bit words.
  parameter int unsigned RECORD_WORDS = 32,
  /// Early exits; 0: their registers read as zero.
  parameter int unsigned EXITS        = 0
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
  /// Byte address of the word that is read, and its value two cycles later.
  input  wire  [11:0] read_address,
  output logic [31:0] read_data,
  /// Interrupt, level: pending and enabled.
  output logic        irq,

  /// A valid batch starts in this cycle, with the settings below.
  output logic        start,
  /// It is a network image; stands still from a cycle after the start to its end.
  output logic        load,
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
  /// Sums from which channel gates and layer gates say yes.
  output logic [31:0] gate_threshold,
  output logic [31:0] layer_threshold,
  /// Decisions are given; 32 of them are in this cycle: number of the word, and the word.
  output logic        forced,
  output logic        forced_write,
  output logic [7:0]  forced_at,
  output logic [31:0] forced_bits,
  /// Where frames stop early; one limit or margin a cycle.
  output exit_host_t  exit_host,

  /// A batch or a reset is under way.
  input  wire         busy,
  /// The engine holds a network, and its modes.
  input  wire         loaded,
  input  wire  [7:0]  modes,
  /// The batch ends in this cycle.
  input  wire         finish,
  /// Error code of its end; zero when all its records are written.
  input  wire  [7:0]  finish_error,
  /// Counters of the batch.
  input  wire  [31:0] frames_done,
  input  wire  [31:0] cycles,
  input  wire  [31:0] tiles
);

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
        gate_threshold  <= '0;
        layer_threshold <= '0;
      end else if (write) begin
        case (write_address)
          REG_SOURCE:      source      <= merge(source, write_data, write_strobe);
          REG_DESTINATION: destination <= merge(destination, write_data, write_strobe);
          REG_FRAMES:      frames      <= merge(frames, write_data, write_strobe);
          REG_MODE:        mode_word   <= merge(mode_word, write_data, write_strobe);
          REG_MODE_LIST:   mode_list   <= merge(mode_list, write_data, write_strobe);
          REG_GATE_THRESHOLD:  gate_threshold  <= merge(gate_threshold, write_data, write_strobe);
          REG_LAYER_THRESHOLD: layer_threshold <= merge(layer_threshold, write_data, write_strobe);
          default: ;
        endcase
      end
    end
  end

  logic [7:0] forced_next;
  if (1) begin : g_forced
    wire write_word = write && write_address == REG_FORCED_WORD && write_strobe == 4'hf;
    wire write_forced = write && write_address == REG_FORCED;
    assign forced_at = forced_next;
    // Of the last write, one cycle after it.
    logic                         set_enable, enable, set_word;
    logic [FORCED_WORD_WIDTH-1:0] word;
    always_ff @(posedge clk) begin
      enable <= write_data[FORCED_ENABLE];
      word   <= write_data[FORCED_WORD+:FORCED_WORD_WIDTH];
      if (!rst_n) begin
        forced       <= 1'b0;
        forced_write <= 1'b0;
        forced_next  <= '0;
        forced_bits  <= '0;
        set_enable   <= 1'b0;
        set_word     <= 1'b0;
      end else begin
        forced_write <= write_word;
        if (write_word) forced_bits <= write_data;
        set_enable <= write_forced && write_strobe[FORCED_ENABLE/8];
        set_word   <= write_forced && write_strobe[FORCED_WORD/8];
        if (set_enable) forced <= enable;
        if (set_word) forced_next <= word;
        else if (forced_write) forced_next <= forced_next + 8'd1;
      end
    end
  end

  logic [7:0]  exit_next;
  logic [7:0]  exit_mode;
  logic [31:0] exit_limit;
  logic [31:0] exit_margin;
  if (EXITS != 0) begin : g_exits
    wire write_exits = write && write_address == REG_EXITS;
    wire write_limit = write && write_address == REG_EXIT_LIMIT && write_strobe == 4'hf;
    wire write_margin = write && write_address == REG_EXIT_MARGIN && write_strobe == 4'hf;
    always_ff @(posedge clk) begin
      if (!rst_n) begin
        exit_host.enable       <= 1'b0;
        exit_host.write_limit  <= 1'b0;
        exit_host.write_margin <= 1'b0;
        exit_next              <= '0;
        exit_mode              <= '0;
        exit_limit             <= '0;
        exit_margin            <= '0;
      end else begin
        exit_host.write_limit  <= write_limit;
        exit_host.write_margin <= write_margin;
        if (write_limit) exit_limit <= write_data;
        if (write_margin) exit_margin <= write_data;
        if (write_exits && write_strobe[EXITS_ENABLE/8]) exit_host.enable <= write_data[EXITS_ENABLE];
        if (write_exits && write_strobe[EXITS_MODE/8]) exit_mode <= write_data[EXITS_MODE+:EXITS_MODE_WIDTH];
        if (write_exits && write_strobe[EXITS_NUMBER/8]) exit_next <= write_data[EXITS_NUMBER+:EXITS_NUMBER_WIDTH];
        else if (write_margin) exit_next <= exit_next + 8'd1;
      end
      exit_host.mode   <= exit_mode;
      exit_host.number <= exit_next;
      exit_host.value  <= write_data;
    end
  end else begin : g_no_exits
    assign exit_host = '0;
    assign {exit_next, exit_mode, exit_limit, exit_margin} = '0;
  end

  logic       interrupt_enable;
  logic       interrupt_pending;
  logic       done;
  logic       error;
  logic       ignored;
  logic [7:0] error_code;
  assign irq = interrupt_pending && interrupt_enable;

  if (1) begin : g_control
    logic       control_write;
    logic       start_request;
    logic       start_written;
    logic       load_written;
    logic       written;
    logic       enable_written;
    logic       clear;
    logic [7:0] refusal;
    logic [7:0] load_refusal;
    logic [7:0] refused;
    assign refused       = load_written ? load_refusal : refusal;

    // What a write asks for is done one cycle after it, from registers: these bits drive resets and enables of the whole shell.
    assign control_write = write && write_address == REG_CONTROL && write_strobe[0];
    assign start_request = start_written && !busy;
    assign start         = start_request && refused == ERR_NONE;
    always_ff @(posedge clk) begin
      soft_reset    <= rst_n && control_write && write_data[CONTROL_RESET];
      written       <= rst_n && control_write;
      enable_written <= write_data[CONTROL_INTERRUPT];
      start_written <= rst_n && control_write && (write_data[CONTROL_START] || write_data[CONTROL_LOAD]) && !write_data[CONTROL_RESET];
      if (control_write) load_written <= write_data[CONTROL_LOAD];
      if (!rst_n) load <= 1'b0;
      else if (start) load <= load_written;
      clear         <= rst_n && write && write_address == REG_IRQ && write_strobe[0] && write_data[IRQ_PENDING];
    end

    // Of the settings, which stand still for more than a cycle before a start.
    always_ff @(posedge clk) begin
      if (frames == '0)                                                 refusal <= ERR_ZERO_FRAMES;
      else if (!loaded)                                                 refusal <= ERR_NO_NETWORK;
      else if (mode_list == '0 && mode_word >= 32'(modes))              refusal <= ERR_BAD_MODE;
      else if ((source[6:0] | destination[6:0] | mode_list[6:0]) != '0) refusal <= ERR_MISALIGNED_ADDRESS;
      else                                                              refusal <= ERR_NONE;
      if (frames == '0)           load_refusal <= ERR_ZERO_FRAMES;
      else if (source[6:0] != '0) load_refusal <= ERR_MISALIGNED_ADDRESS;
      else                        load_refusal <= ERR_NONE;
    end

    always_ff @(posedge clk) begin
      if (!rst_n) begin
        interrupt_enable  <= 1'b0;
        interrupt_pending <= 1'b0;
        done              <= 1'b0;
        error             <= 1'b0;
        ignored           <= 1'b0;
        error_code        <= ERR_NONE;
      end else begin
        // With the start that clears what is pending: no interrupt of the batch before.
        if (written) interrupt_enable <= enable_written;
        if (soft_reset || start_request || clear) begin
          interrupt_pending <= 1'b0;
          done              <= 1'b0;
          error             <= 1'b0;
          ignored           <= 1'b0;
          error_code        <= ERR_NONE;
        end
        if (start_written && busy) ignored <= 1'b1;
        // A batch that ends in the cycle of a clear is not lost.
        if (!soft_reset) begin
          if (start_request && refused != ERR_NONE) begin
            interrupt_pending <= 1'b1;
            error             <= 1'b1;
            error_code        <= refused;
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

  // What can be read: which word it is, then its value, two cycles.
  typedef struct packed {
    logic [11:0] address;
    logic [31:0] value;
  } word_t;
  localparam int unsigned WORDS = 22;
  word_t [WORDS-1:0] words;
  logic  [WORDS-1:0] chosen;
  logic  [31:0]      config_word, control_word, status_word, irq_word, forced_word, exits_word, value;
  always_comb begin
    {config_word, control_word, status_word, irq_word, forced_word, exits_word} = '0;
    config_word[CONFIG_MODES+:CONFIG_MODES_WIDTH]               = CONFIG_MODES_WIDTH'(loaded ? modes : '0);
    config_word[CONFIG_CLASSES+:CONFIG_CLASSES_WIDTH]           = CONFIG_CLASSES_WIDTH'(CLASSES);
    config_word[CONFIG_RECORD_WORDS+:CONFIG_RECORD_WORDS_WIDTH] = CONFIG_RECORD_WORDS_WIDTH'(RECORD_WORDS);
    control_word[CONTROL_INTERRUPT] = interrupt_enable;
    status_word[STATUS_BUSY]  = busy;
    status_word[STATUS_DONE]  = done;
    status_word[STATUS_ERROR] = error;
    status_word[STATUS_LOADED] = loaded;
    status_word[STATUS_IGNORED] = ignored;
    status_word[STATUS_ERROR_CODE+:STATUS_ERROR_CODE_WIDTH] = error_code;
    irq_word[IRQ_PENDING] = interrupt_pending;
    forced_word[FORCED_ENABLE] = forced;
    forced_word[FORCED_WORD+:FORCED_WORD_WIDTH] = forced_next;
    exits_word[EXITS_ENABLE] = exit_host.enable;
    exits_word[EXITS_MODE+:EXITS_MODE_WIDTH] = exit_mode;
    exits_word[EXITS_NUMBER+:EXITS_NUMBER_WIDTH] = exit_next;
  end
  assign words = {
    REG_ID,          INTERFACE_ID,
    REG_VERSION,     INTERFACE_VERSION,
    REG_ENGINE_HASH,  ENGINE_HASH,
    REG_CONFIG,      config_word,
    REG_CONTROL,     control_word,
    REG_STATUS,      status_word,
    REG_IRQ,         irq_word,
    REG_SOURCE,      source,
    REG_DESTINATION, destination,
    REG_FRAMES,      frames,
    REG_MODE,        mode_word,
    REG_MODE_LIST,   mode_list,
    REG_GATE_THRESHOLD, gate_threshold,
    REG_LAYER_THRESHOLD, layer_threshold,
    REG_FORCED,      forced_word,
    REG_FORCED_WORD, forced_bits,
    REG_EXITS,       exits_word,
    REG_EXIT_LIMIT,  exit_limit,
    REG_EXIT_MARGIN, exit_margin,
    REG_FRAMES_DONE, frames_done,
    REG_CYCLES,      cycles,
    REG_TILES,       tiles
  };
  always_comb begin
    value = '0;
    for (int unsigned w = 0; w < WORDS; w++) if (chosen[w]) value |= words[w].value;
  end
  always_ff @(posedge clk) begin
    for (int unsigned w = 0; w < WORDS; w++) chosen[w] <= read_address == words[w].address;
    read_data <= value;
  end

endmodule

`default_nettype wire
