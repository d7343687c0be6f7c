// An axi_lite_slave does every write that was taken exactly once, with its own address, data and strobes, answers it once, and
// holds valid and payload until they are taken; the same for reads. The bus may do what it likes with its own signals.
`default_nettype none

module axi_lite_slave_proof #(
    parameter int unsigned ADDRESS = 4
) (
    input wire                clk,
    input wire                rst_n,
    input wire  [ADDRESS-1:0] s_axi_awaddr,
    input wire                s_axi_awvalid,
    input wire  [31:0]        s_axi_wdata,
    input wire  [3:0]         s_axi_wstrb,
    input wire                s_axi_wvalid,
    input wire                s_axi_bready,
    input wire  [ADDRESS-1:0] s_axi_araddr,
    input wire                s_axi_arvalid,
    input wire                s_axi_rready,
    input wire  [31:0]        read_data
);
    logic s_axi_awready, s_axi_wready, s_axi_bvalid, s_axi_arready, s_axi_rvalid, write;
    logic [1:0] s_axi_bresp, s_axi_rresp;
    logic [31:0] s_axi_rdata, write_data;
    logic [3:0] write_strobe;
    logic [ADDRESS-1:0] write_address, read_address;
    axi_lite_slave #(.ADDRESS(ADDRESS)) dut (.*);

    logic started = 1'b0;
    always_ff @(posedge clk) if (!rst_n) started <= 1'b1;

    // What was taken and is not done yet: never more than one of each kind.
    logic [1:0] addresses, words, answers, reads;
    logic [ADDRESS-1:2] address, read_at;
    logic [31:0] data, answer, held;
    logic [3:0] strobe;
    logic decided, asked, answered, waited;
    always_ff @(posedge clk) begin
        addresses <= addresses + 2'(s_axi_awvalid && s_axi_awready) - 2'(write);
        words <= words + 2'(s_axi_wvalid && s_axi_wready) - 2'(write);
        answers <= answers + 2'(write) - 2'(s_axi_bvalid && s_axi_bready);
        reads <= reads + 2'(s_axi_arvalid && s_axi_arready) - 2'(s_axi_rvalid && s_axi_rready);
        if (s_axi_awvalid && s_axi_awready) address <= s_axi_awaddr[ADDRESS-1:2];
        if (s_axi_wvalid && s_axi_wready) {data, strobe} <= {s_axi_wdata, s_axi_wstrb};
        if (s_axi_arvalid && s_axi_arready) read_at <= s_axi_araddr[ADDRESS-1:2];
        answered <= asked;
        asked <= decided;
        decided <= reads == 2'd1 && !s_axi_rvalid && !decided && !asked;
        if (asked) answer <= read_data;
        waited <= s_axi_rvalid && !s_axi_rready;
        held <= s_axi_rdata;
        if (!rst_n) begin
            addresses <= '0;
            words <= '0;
            answers <= '0;
            reads <= '0;
            decided <= 1'b0;
            asked <= 1'b0;
            answered <= 1'b0;
            waited <= 1'b0;
        end
    end

    always_comb if (started) begin
        assert (addresses == 2'(dut.g_write.address_held) && words == 2'(dut.g_write.data_held));
        assert (answers == 2'(dut.g_write.answering) + 2'(s_axi_bvalid) && answers <= 2'd1);
        assert (reads == 2'(dut.g_read.address_held) + 2'(dut.g_read.deciding) + 2'(dut.g_read.reading) + 2'(s_axi_rvalid));
        assert (reads <= 2'd1 && decided == dut.g_read.deciding && asked == dut.g_read.reading);
        if (dut.g_write.address_held) assert (write_address == {address, 2'b00});
        if (dut.g_write.data_held) assert (write_data == data && write_strobe == strobe);
        if (write) assert (addresses == 2'd1 && words == 2'd1 && answers == 2'd0);
        if (addresses == 2'd1 && words == 2'd1 && answers == 2'd0) assert (write);
        if (reads == 2'd1 && !s_axi_rvalid) assert (read_address == {read_at, 2'b00});
        if (answered) assert (s_axi_rvalid && s_axi_rdata == answer);
        if (waited) assert (s_axi_rvalid && s_axi_rdata == held);
        assert (s_axi_bresp == 2'b00 && s_axi_rresp == 2'b00);
    end
endmodule

`default_nettype wire
