//! zstd as a sequence of frames, each compressed by itself, so that all cores can take part.

use std::io::{self, BufRead, Read, Write};

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSlice;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// The length of what a frame holds. Longer ones would be hardly smaller in sum.
const FRAME: usize = 1 << 20;

/// How many frames are compressed at a time.
const AT_A_TIME: usize = 16;

/// Compresses what is written to it. Each frame ends with a checksum.
pub struct Compressor<W: Write> {
    out: W,
    pending: Vec<u8>,
}

impl<W: Write> Compressor<W> {
    pub fn new(out: W) -> Compressor<W> {
        Compressor { out, pending: Vec::new() }
    }

    /// Writes what is left.
    pub fn finish(mut self) -> io::Result<W> {
        self.compress()?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn compress(&mut self) -> io::Result<()> {
        let parts = self.pending.par_chunks(FRAME).with_max_len(1);
        let frames: Vec<Vec<u8>> =
            parts.map(|part| compress_to_vec(part, CompressionLevel::Fastest)).collect();
        self.pending.clear();
        frames.iter().try_for_each(|frame| self.out.write_all(frame))
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.pending.len() >= FRAME * AT_A_TIME {
            self.compress()?;
        }
        let room = FRAME * AT_A_TIME - self.pending.len();
        let taken = &data[..data.len().min(room)];
        self.pending.extend_from_slice(taken);
        Ok(taken.len())
    }

    /// A frame is as long as all others but for the last, so what is written stays pending.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was compressed. Fails where a frame is damaged: at its end at the latest, by its checksum.
pub struct Decompressor<R: BufRead>(Option<StreamingDecoder<R, FrameDecoder>>);

impl<R: BufRead> Decompressor<R> {
    pub fn new(source: R) -> io::Result<Decompressor<R>> {
        StreamingDecoder::new(source).map(Some).map(Decompressor).map_err(io::Error::other)
    }

    /// Goes on to the next frame, if there is one.
    fn end_frame(&mut self) -> io::Result<()> {
        let Some(frame) = self.0.take() else { return Ok(()) };
        let (mut source, decoder) = frame.into_parts();
        let stored = decoder.get_checksum_from_data();
        if stored.is_some() && stored != decoder.get_calculated_checksum() {
            return Err(io::Error::other("the checksum is wrong"));
        }
        if !source.fill_buf()?.is_empty() {
            let next = StreamingDecoder::new_with_decoder(source, decoder);
            self.0 = Some(next.map_err(io::Error::other)?);
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Decompressor<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(frame) = &mut self.0 {
            match frame.read(buffer)? {
                0 => self.end_frame()?,
                count => return Ok(count),
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compressed(data: &[u8]) -> Vec<u8> {
        let mut compressor = Compressor::new(Vec::new());
        compressor.write_all(data).unwrap();
        compressor.finish().unwrap()
    }

    fn decompressed(data: &[u8]) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        Decompressor::new(data)?.read_to_end(&mut all)?;
        Ok(all)
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let data: Vec<u8> = (0..FRAME + FRAME / 2).map(|at| ((at * at) >> 7) as u8).collect();
        for length in [1, FRAME - 1, FRAME, FRAME + 1, data.len()] {
            let small = compressed(&data[..length]);
            assert!(decompressed(&small).unwrap() == data[..length], "{length}");
        }
    }

    #[test]
    fn damage_never_gives_other_data() {
        let text: String = (0..200).map(|number| format!("{number} of them\n")).collect();
        let whole = compressed(text.as_bytes());
        for at in 0..whole.len() {
            assert!(decompressed(&whole[..at]).is_err(), "cut at {at}");
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            // Of the size of the window, more is as good.
            if let Ok(read) = decompressed(&changed) {
                assert!(read == text.as_bytes(), "changed at {at}");
            }
        }
    }
}
