module github.com/weftrun/weft/abi/sdk/tinygo

go 1.23
