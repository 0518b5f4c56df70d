package io.rasterflight;

/** Tidying up, which a thread that was interrupted does all the same. */
final class Uninterrupted {
  private Uninterrupted() {}

  /** What may be interrupted. */
  interface Action {
    void run() throws Exception;
  }

  static void run(Action action) {
    boolean interrupted = Thread.interrupted();
    try {
      action.run();
    } catch (InterruptedException again) {
      interrupted = true;
    } catch (RuntimeException error) {
      throw error;
    } catch (Exception error) {
      throw new IllegalStateException(error);
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
