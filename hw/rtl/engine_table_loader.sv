// Loads the tables of the next layer while a layer runs.
//
// A layer has 64 words in a memory: entry w of the table of sums in bits 3:0, entry w mod 16 of the table of residual codes
// in bits 9:4. `start` hands over the copy that was loaded and begins with the next one; `ready` comes 66 cycles
// after it. The first layer's are loaded from the reset on, and again while a frame's last layer runs.
`default_nettype none

module engine_table_loader #(
    parameter int unsigned LAYERS = 16,  /// a power of two
    localparam int unsigned LW = $clog2(LAYERS)
) (
    input  wire           clk,
    input  wire           rst_n,   /// other tables are in the memory from here on, too
    input  wire           we_tables,  /// a word of the tables is written
    input  wire  [LW+5:0] tables_waddr,
    input  wire  [9:0]    tables_wdata,
    input  wire           start,
    input  wire  [LW-1:0] next,   /// layer whose tables are loaded from here on
    output wire           ready,
    output logic          copy,   /// the copy in use
    output logic          we,
    output logic [5:0]    waddr,
    output wire  [9:0]    wdata
);
    logic          loading;
    logic [LW-1:0] index;
    logic [5:0]    word;
    engine_ram #(.DEPTH(64 * LAYERS), .WIDTH(10)) tables (
        .clk, .we(we_tables), .waddr(tables_waddr), .wdata(tables_wdata), .addr({index, word}), .data(wdata));

    assign ready = !loading && !we;
    always_ff @(posedge clk) begin
        waddr <= word;
        if (!rst_n) begin
            loading <= 1'b1;
            we <= 1'b0;
            index <= '0;
            word <= '0;
            copy <= 1'b0;
        end else begin
            we <= loading;
            word <= word + 6'(loading);
            if (start) begin
                loading <= 1'b1;
                index <= next;
                copy <= !copy;
            end else if (word == 6'd63) loading <= 1'b0;
        end
    end
endmodule

`default_nettype wire
