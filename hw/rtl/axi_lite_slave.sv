// AXI4-Lite slave that turns bus transfers into single-cycle reads and writes of 32-bit words.
//
// Write address and write data are taken independently, in either order or together; the write is done once
// both are there and the response of the write before has left. One write and one read may be under way at a
// time, each on its own. Every access answers OKAY: what an address means is the register file's matter.
//
// Write: `write` is high for one cycle with address, data and byte strobes; the response comes two cycles later, when what the
// word changes is done. Read: `read_address` is held for
// three cycles, in the third of which `read_data` must answer. The two low address bits are ignored.
`default_nettype none

module axi_lite_slave #(
  /// Width of an address, in bits.
  parameter int unsigned ADDRESS = 12
) (
  /// Clock.
  input  wire                clk,
  /// Synchronous reset, active low.
  input  wire                rst_n,

  /// Write address channel.
  input  wire  [ADDRESS-1:0] s_axi_awaddr,
  input  wire                s_axi_awvalid,
  output logic               s_axi_awready,
  /// Write data channel.
  input  wire  [31:0]        s_axi_wdata,
  input  wire  [3:0]         s_axi_wstrb,
  input  wire                s_axi_wvalid,
  output logic               s_axi_wready,
  /// Write response channel; always OKAY.
  output logic [1:0]         s_axi_bresp,
  output logic               s_axi_bvalid,
  input  wire                s_axi_bready,
  /// Read address channel.
  input  wire  [ADDRESS-1:0] s_axi_araddr,
  input  wire                s_axi_arvalid,
  output logic               s_axi_arready,
  /// Read data channel; always OKAY.
  output logic [31:0]        s_axi_rdata,
  output logic [1:0]         s_axi_rresp,
  output logic               s_axi_rvalid,
  input  wire                s_axi_rready,

  /// A word is written in this cycle.
  output logic               write,
  /// Its byte address, a multiple of 4.
  output logic [ADDRESS-1:0] write_address,
  /// Its new value.
  output logic [31:0]        write_data,
  /// Which of its bytes to write.
  output logic [3:0]         write_strobe,
  /// Byte address of the word that is read, a multiple of 4.
  output logic [ADDRESS-1:0] read_address,
  /// Value of that word, two cycles later.
  input  wire  [31:0]        read_data
);

  assign s_axi_bresp = 2'b00;
  assign s_axi_rresp = 2'b00;

  if (1) begin : g_write
    logic               address_held;
    logic               data_held;
    logic               answering;
    logic [ADDRESS-1:2] address;

    assign s_axi_awready = !address_held;
    assign s_axi_wready  = !data_held;
    assign write         = address_held && data_held && !answering && !s_axi_bvalid;
    assign write_address = {address, 2'b00};

    always_ff @(posedge clk) begin
      if (!rst_n) begin
        address_held <= 1'b0;
        data_held    <= 1'b0;
        answering    <= 1'b0;
        s_axi_bvalid <= 1'b0;
      end else begin
        answering <= write;
        if (write) begin
          address_held <= 1'b0;
          data_held    <= 1'b0;
        end else begin
          if (s_axi_awvalid) address_held <= 1'b1;
          if (s_axi_wvalid)  data_held    <= 1'b1;
        end
        if (answering)                         s_axi_bvalid <= 1'b1;
        else if (s_axi_bready && s_axi_bvalid) s_axi_bvalid <= 1'b0;
      end
    end

    always_ff @(posedge clk) begin
      if (s_axi_awready) address <= s_axi_awaddr[ADDRESS-1:2];
      if (s_axi_wready) begin
        write_data   <= s_axi_wdata;
        write_strobe <= s_axi_wstrb;
      end
    end
  end

  if (1) begin : g_read
    logic               address_held;
    logic               deciding;  // which word it is
    logic               reading;
    logic [ADDRESS-1:2] address;

    assign s_axi_arready = !address_held && !deciding && !reading && !s_axi_rvalid;
    assign read_address  = {address, 2'b00};

    always_ff @(posedge clk) begin
      if (!rst_n) begin
        address_held <= 1'b0;
        deciding     <= 1'b0;
        reading      <= 1'b0;
        s_axi_rvalid <= 1'b0;
      end else begin
        address_held <= s_axi_arvalid && s_axi_arready;
        deciding     <= address_held;
        reading      <= deciding;
        if (reading)           s_axi_rvalid <= 1'b1;
        else if (s_axi_rready) s_axi_rvalid <= 1'b0;
      end
    end

    always_ff @(posedge clk) begin
      if (s_axi_arready) address     <= s_axi_araddr[ADDRESS-1:2];
      if (reading)       s_axi_rdata <= read_data;
    end
  end

  // The two low bits choose a byte of the word; words are always read and written whole, under strobes.
  logic unused;
  assign unused = &{1'b0, s_axi_awaddr[1:0], s_axi_araddr[1:0]};

endmodule

`default_nettype wire
