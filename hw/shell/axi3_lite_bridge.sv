// AXI3 slave to AXI4-Lite master, for the general-purpose ports of the Zynq.
//
// One write and one read burst are under way at a time, each on its own. A burst is done beat by beat; its
// addresses rise by the beat's size, or stay where the burst is of the kind FIXED (a wrapping burst is done like
// a rising one: processors use it only for cached memory). Answers carry the burst's identifier; a write is
// answered once, with the last error any of its beats met.
`default_nettype none

module axi3_lite_bridge #(
  /// Width of an identifier, in bits.
  parameter int unsigned ID      = 12,
  /// Width of an address on the AXI4-Lite side, in bits; higher bits are cut off.
  parameter int unsigned ADDRESS = 12
) (
  /// Clock.
  input  wire                clk,
  /// Synchronous reset, active low.
  input  wire                rst_n,

  /// AXI3 slave, 32-bit data.
  input  wire  [ID-1:0]      s_axi_awid,
  input  wire  [31:0]        s_axi_awaddr,
  input  wire  [3:0]         s_axi_awlen,
  input  wire  [1:0]         s_axi_awsize,
  input  wire  [1:0]         s_axi_awburst,
  input  wire                s_axi_awvalid,
  output logic               s_axi_awready,
  input  wire  [31:0]        s_axi_wdata,
  input  wire  [3:0]         s_axi_wstrb,
  input  wire                s_axi_wlast,
  input  wire                s_axi_wvalid,
  output logic               s_axi_wready,
  output logic [ID-1:0]      s_axi_bid,
  output logic [1:0]         s_axi_bresp,
  output logic               s_axi_bvalid,
  input  wire                s_axi_bready,
  input  wire  [ID-1:0]      s_axi_arid,
  input  wire  [31:0]        s_axi_araddr,
  input  wire  [3:0]         s_axi_arlen,
  input  wire  [1:0]         s_axi_arsize,
  input  wire  [1:0]         s_axi_arburst,
  input  wire                s_axi_arvalid,
  output logic               s_axi_arready,
  output logic [ID-1:0]      s_axi_rid,
  output logic [31:0]        s_axi_rdata,
  output logic [1:0]         s_axi_rresp,
  output logic               s_axi_rlast,
  output logic               s_axi_rvalid,
  input  wire                s_axi_rready,

  /// AXI4-Lite master, 32-bit data.
  output logic [ADDRESS-1:0] m_axi_awaddr,
  output logic               m_axi_awvalid,
  input  wire                m_axi_awready,
  output logic [31:0]        m_axi_wdata,
  output logic [3:0]         m_axi_wstrb,
  output logic               m_axi_wvalid,
  input  wire                m_axi_wready,
  input  wire  [1:0]         m_axi_bresp,
  input  wire                m_axi_bvalid,
  output logic               m_axi_bready,
  output logic [ADDRESS-1:0] m_axi_araddr,
  output logic               m_axi_arvalid,
  input  wire                m_axi_arready,
  input  wire  [31:0]        m_axi_rdata,
  input  wire  [1:0]         m_axi_rresp,
  input  wire                m_axi_rvalid,
  output logic               m_axi_rready
);

  if (1) begin : g_write
    typedef enum logic [1:0] {IDLE, DATA, BEAT, ANSWER} state_t;
    state_t     state;
    logic [1:0] size;
    logic       fixed;
    logic       last;

    assign s_axi_awready = state == IDLE;
    assign s_axi_wready  = state == DATA;
    assign s_axi_bvalid  = state == ANSWER;
    assign m_axi_bready  = state == BEAT;

    always_ff @(posedge clk) begin
      if (!rst_n) begin
        state         <= IDLE;
        m_axi_awvalid <= 1'b0;
        m_axi_wvalid  <= 1'b0;
      end else begin
        if (m_axi_awready) m_axi_awvalid <= 1'b0;
        if (m_axi_wready)  m_axi_wvalid  <= 1'b0;
        case (state)
          IDLE: if (s_axi_awvalid) state <= DATA;
          DATA: if (s_axi_wvalid) begin
            m_axi_awvalid <= 1'b1;
            m_axi_wvalid  <= 1'b1;
            state         <= BEAT;
          end
          BEAT: if (m_axi_bvalid) state <= last ? ANSWER : DATA;
          default: if (s_axi_bready) state <= IDLE;
        endcase
      end
    end

    always_ff @(posedge clk) begin
      case (state)
        IDLE: begin
          s_axi_bid    <= s_axi_awid;
          m_axi_awaddr <= s_axi_awaddr[ADDRESS-1:0];
          size         <= s_axi_awsize;
          fixed        <= s_axi_awburst == 2'b00;
          s_axi_bresp  <= 2'b00;
        end
        DATA: begin
          m_axi_wdata <= s_axi_wdata;
          m_axi_wstrb <= s_axi_wstrb;
          last        <= s_axi_wlast;
        end
        BEAT: if (m_axi_bvalid) begin
          if (!fixed)                m_axi_awaddr <= m_axi_awaddr + (ADDRESS'(1) << size);
          if (m_axi_bresp != 2'b00)  s_axi_bresp  <= m_axi_bresp;
        end
        default: ;
      endcase
    end
  end

  if (1) begin : g_read
    typedef enum logic [1:0] {IDLE, BEAT, ANSWER} state_t;
    state_t     state;
    logic [1:0] size;
    logic       fixed;
    logic [3:0] left;

    assign s_axi_arready = state == IDLE;
    assign s_axi_rvalid  = state == ANSWER;
    assign s_axi_rlast   = left == '0;
    assign m_axi_rready  = state == BEAT;

    always_ff @(posedge clk) begin
      if (!rst_n) begin
        state         <= IDLE;
        m_axi_arvalid <= 1'b0;
      end else begin
        if (m_axi_arready) m_axi_arvalid <= 1'b0;
        case (state)
          IDLE: if (s_axi_arvalid) begin
            m_axi_arvalid <= 1'b1;
            state         <= BEAT;
          end
          BEAT: if (m_axi_rvalid) state <= ANSWER;
          default: if (s_axi_rready) begin
            m_axi_arvalid <= left != '0;
            state         <= (left != '0) ? BEAT : IDLE;
          end
        endcase
      end
    end

    always_ff @(posedge clk) begin
      case (state)
        IDLE: begin
          s_axi_rid    <= s_axi_arid;
          m_axi_araddr <= s_axi_araddr[ADDRESS-1:0];
          size         <= s_axi_arsize;
          fixed        <= s_axi_arburst == 2'b00;
          left         <= s_axi_arlen;
        end
        BEAT: if (m_axi_rvalid) begin
          s_axi_rdata <= m_axi_rdata;
          s_axi_rresp <= m_axi_rresp;
        end
        default: if (s_axi_rready) begin
          if (!fixed) m_axi_araddr <= m_axi_araddr + (ADDRESS'(1) << size);
          left <= left - 1'b1;
        end
      endcase
    end
  end

  // The end of a write burst is told by its last beat.
  logic unused;
  assign unused = &{1'b0, s_axi_awlen, s_axi_awaddr[31:ADDRESS], s_axi_araddr[31:ADDRESS]};

endmodule

`default_nettype wire
