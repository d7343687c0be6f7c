// A burst of dma_write begins only when its 16 beats lie in the buffer, so its data never pause; it has 16 beats, its address is
// 128-byte aligned and held until taken, and it is answered before the next one begins: whatever `abort`, the engine and the
// memory do.
`default_nettype none

module dma_write_proof (
    input wire         clk,
    input wire         rst_n,
    input wire         start,
    input wire  [31:0] destination,
    input wire         abort,
    input wire         m_axi_awready,
    input wire         m_axi_wready,
    input wire  [1:0]  m_axi_bresp,
    input wire         m_axi_bvalid,
    input wire  [63:0] s_axis_tdata,
    input wire         s_axis_tvalid
);
    logic idle, bus_error, m_axi_awvalid, m_axi_wlast, m_axi_wvalid, m_axi_bready, s_axis_tready;
    logic [31:0] frames_done, tiles, m_axi_awaddr;
    logic [63:0] m_axi_wdata;
    dma_write #(.RECORD_BEATS(32)) dut (.*);

    // The shell starts a batch while idle and not before the first reset, at an aligned address.
    logic ready = 1'b0, started = 1'b0;
    always_ff @(posedge clk) begin
        if (!rst_n) {ready, started} <= 2'b10;
        else if (start) started <= 1'b1;
    end
    always_comb begin
        if (start) assume (idle && ready && rst_n && destination[6:0] == '0);
        if (!started) assume (!dut.begin_burst || start);  // no record before the first batch
        if (m_axi_bvalid) assume (dut.response_open && !m_axi_awvalid && !m_axi_wvalid);
    end

    logic [4:0] beats;
    logic [31:0] address;
    logic held;
    always_ff @(posedge clk) begin
        if (!rst_n || dut.begin_burst) beats <= '0;
        else if (m_axi_wvalid && m_axi_wready) beats <= beats + 1'b1;
        held <= rst_n && m_axi_awvalid && !m_axi_awready;
        address <= m_axi_awaddr;
    end

    always_comb if (ready && !started) assert (idle && !m_axi_awvalid && !m_axi_wvalid);
    always_comb if (started) begin
        assert (dut.buffered <= 6'd32 && dut.buffer_valid == (dut.buffered != '0));
        if (m_axi_wvalid) begin
            assert (dut.buffer_valid);  // the data are there
            assert (dut.buffered >= 6'd16 - 6'(dut.beat));
            assert (beats == 5'(dut.beat) && m_axi_wlast == (beats == 5'd15));
        end else begin
            assert (dut.beat == '0);
            if (!idle) assert (beats == 5'd16);
        end
        if (m_axi_awvalid || m_axi_wvalid) assert (!idle);
        assert (m_axi_awaddr[6:0] == '0);
        if (held) assert (m_axi_awvalid && m_axi_awaddr == address);
        if (m_axi_bready) assert (!m_axi_awvalid && !m_axi_wvalid && beats == 5'd16);
    end
endmodule

`default_nettype wire
