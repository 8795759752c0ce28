module github.com/weftrun/weft/abi/vectors/guests/go

go 1.23

require github.com/weftrun/weft/abi/sdk/tinygo v0.0.0

replace github.com/weftrun/weft/abi/sdk/tinygo => ../../../sdk/tinygo
