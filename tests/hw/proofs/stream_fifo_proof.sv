// A stream_fifo counts right and gives its words back in order, none lost, none twice: one word, whichever the solver likes, is
// followed from its push to its pop.
`default_nettype none

module stream_fifo_proof #(
    parameter int unsigned WIDTH = 3,
    parameter int unsigned DEPTH = 4
) (
    input wire              clk,
    input wire              rst_n,
    input wire              clear,
    input wire  [WIDTH-1:0] in_data,
    input wire              in_valid,
    input wire              out_ready,
    input wire              follow
);
    localparam int unsigned ADDRESS = $clog2(DEPTH);
    logic in_ready, out_valid;
    logic [WIDTH-1:0] out_data;
    logic [ADDRESS:0] count;
    stream_fifo #(.WIDTH(WIDTH), .DEPTH(DEPTH)) dut (.*);

    logic started = 1'b0;
    always_ff @(posedge clk) if (!rst_n) started <= 1'b1;

    // Words pushed and popped since the last reset; the word that is followed, and how many are ahead of it.
    logic [ADDRESS:0] pushed, popped, ahead;
    logic following;
    logic [WIDTH-1:0] word;
    wire push = in_valid && in_ready, pop = out_valid && out_ready;
    always_ff @(posedge clk) begin
        if (!rst_n || clear) begin
            pushed <= '0;
            popped <= '0;
            following <= 1'b0;
        end else begin
            if (push) pushed <= pushed + 1'b1;
            if (pop) popped <= popped + 1'b1;
            if (push && follow && !following) begin
                following <= 1'b1;
                word <= in_data;
                ahead <= count - (ADDRESS + 1)'(pop);
            end else if (following && pop) begin
                if (ahead == '0) following <= 1'b0;
                else ahead <= ahead - 1'b1;
            end
        end
    end

    wire [ADDRESS:0] held = pushed - popped;
    wire [ADDRESS-1:0] apart = dut.write_address - dut.read_address;
    wire [ADDRESS-1:0] place = dut.read_address + ahead[ADDRESS-1:0];
    always_comb if (started) begin
        assert (count <= (ADDRESS + 1)'(DEPTH));
        assert (count == held);
        assert (apart == count[ADDRESS-1:0]);
        assert (in_ready == (count != (ADDRESS + 1)'(DEPTH)));
        assert (out_valid == (count != '0));
        if (following) begin
            assert (ahead < count);
            assert (dut.memory[place] == word);
            if (ahead == '0) assert (out_valid && out_data == word);
        end
    end
endmodule

`default_nettype wire
