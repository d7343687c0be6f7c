// A layer begins with its own tables: all words of a copy are written before it is handed over, in order.
module engine_table_checks #(
    parameter int unsigned LAYERS = 16
) (
    input logic       clk,
    input logic       rst_n,
    input logic       start,
    input logic       ready,
    input logic       we,
    input logic [5:0] waddr
);
    logic on;
    after_reset contracts (.clk, .rst_n, .on);

    logic [6:0] written;
    always_ff @(posedge clk)
        if (!rst_n || start) written <= '0;
        else if (we) written <= written + 7'd1;

    always_ff @(posedge clk) if (on && start)
        whole: assert (ready && written == 7'd64)
            else $fatal(1, "a layer begins with %0d of 64 words of its tables", written);

    always_ff @(posedge clk) if (on && we)
        order: assert (7'(waddr) == written)
            else $fatal(1, "word %0d of the tables comes when %0d are written", waddr, written);
endmodule

bind engine_table_loader engine_table_checks #(.LAYERS(LAYERS)) checks (.*);
